// A GELF server for UDP written by others: node gelf.js PORT FILE. Each message becomes a line of JSON.
const fs = require("fs");
const Server = require("graygelf/server");
const [port, file] = process.argv.slice(2);
const server = Server();
server.on("message", (message) => fs.appendFileSync(file, JSON.stringify(message) + "\n"));
server.on("error", (error) => fs.appendFileSync(file + ".wrong", String(error) + "\n"));
server.listen(Number(port), "0.0.0.0");
server._udp.on("listening", () => fs.writeFileSync(file + ".listens", ""));
