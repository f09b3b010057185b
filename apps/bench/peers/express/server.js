// Serves one answer as the shop's Express server did: found in node-cache, compressed on its way out.
// node server.js ANSWER PORT, where ANSWER is a file of {ContentType, Header: [{Name, Value}], Plain: base64}.
const fs = require("node:fs");
const compression = require("compression");
const express = require("express");
const NodeCache = require("node-cache");

const answer = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const cache = new NodeCache({ stdTTL: 3600 });
const app = express();
app.disable("x-powered-by");
app.disable("etag");
app.use(compression());
app.get("*", (req, res) => {
  let body = cache.get(req.originalUrl);
  if (body === undefined) {
    body = Buffer.from(answer.Plain, "base64").toString();
    cache.set(req.originalUrl, body);
  }
  for (const { Name, Value } of answer.Header) res.set(Name, Value);
  res.type(answer.ContentType).send(body);
});
const server = app.listen(Number(process.argv[3]), "127.0.0.1");
server.keepAliveTimeout = 60_000;
