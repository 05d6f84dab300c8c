// A Fluentd forward server written by the Fluentd project: node fluentd.js PORT FILE. Each event becomes a line of JSON.
const fs = require("fs");
const { FluentServer } = require("@fluent-org/logger");
const [port, file] = process.argv.slice(2);
const server = new FluentServer({ listenOptions: { port: Number(port), host: "127.0.0.1" } });
server.on("entry", (tag, time, record) => {
  const at = typeof time === "number" ? time : `${time._epoch ?? time.epoch}.${time._nano ?? time.nano}`;
  fs.appendFileSync(file, JSON.stringify([tag, String(at), record]) + "\n");
});
server.listen();
