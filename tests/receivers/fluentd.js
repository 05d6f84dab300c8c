// A Fluentd forward server written by the Fluentd project: node fluentd.js PORT|SOCKET FILE [CERTIFICATE KEY]. Each event
// becomes a line of JSON.
const fs = require("fs");
const { FluentServer } = require("@fluent-org/logger");
const [where, file, certificate, key] = process.argv.slice(2);
const listenOptions = /^\d+$/.test(where) ? { port: Number(where), host: "0.0.0.0" } : { path: where };
const tlsOptions = certificate && { cert: fs.readFileSync(certificate), key: fs.readFileSync(key) };
const server = new FluentServer({ listenOptions, tlsOptions });
// It confirms a message before it hands its events out: the confirmation waits until they stand in the file.
server.server.prependListener(certificate ? "secureConnection" : "connection", (socket) => {
  const write = socket.write.bind(socket);
  socket.write = (...confirmation) => setImmediate(() => write(...confirmation));
});
server.on("entry", (tag, time, record) => {
  const at = typeof time === "number" ? time : `${time._epoch ?? time.epoch}.${time._nano ?? time.nano}`;
  fs.appendFileSync(file, JSON.stringify([tag, String(at), record]) + "\n");
});
server.listen();
