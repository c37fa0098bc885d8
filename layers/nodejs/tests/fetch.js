// A server and a request to it: the event loop, HTTP and JSON work.
const http = require("node:http");

const server = http.createServer((_, response) => response.end(JSON.stringify({ answer: 6 * 7 })));
server.listen(0, "127.0.0.1", async () => {
  const reply = await fetch(`http://127.0.0.1:${server.address().port}/`);
  console.log("answer", (await reply.json()).answer);
  server.close();
});
