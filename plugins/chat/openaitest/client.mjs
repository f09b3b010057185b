// Runs the official client for Node: takes calls as lines of JSON, and answers each with a line that says what its caller saw.
import { createInterface } from "node:readline";
import OpenAI from "openai";

const actions = {
  async create(client, { params }) {
    const answer = await client.chat.completions.create(params);
    const [choice] = answer.choices;
    return {
      ids: [answer.id], text: choice.message.content, finish: choice.finish_reason, usages: [answer.usage],
      extension: answer.innatural,
    };
  },
  async stream(client, { params }, seen) {
    const stream = await client.chat.completions.create({ ...params, stream: true });
    for await (const chunk of stream) {
      if (!seen.ids.includes(chunk.id)) seen.ids.push(chunk.id);
      if (chunk.usage) seen.usages.push(chunk.usage);
      if (chunk.innatural) seen.extension = chunk.innatural;
      for (const choice of chunk.choices) {
        seen.text += choice.delta.content ?? "";
        seen.finish = choice.finish_reason ?? seen.finish;
      }
    }
    return seen;
  },
  async models(client) {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    return { ids };
  },
  async get(client, { path }) {
    await client.get(`/${path}`);
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const call = JSON.parse(line);
  const seen = { ids: [], text: "", finish: "", usages: [] };
  const client = new OpenAI({ baseURL: call.base, apiKey: call.key, maxRetries: call.retries });
  try {
    Object.assign(seen, await actions[call.action](client, call, seen));
  } catch (e) {
    if (!(e instanceof OpenAI.APIError)) throw e;
    seen.error = { status: e.status ?? 0, type: e.type ?? "", code: e.code ?? "", message: e.message, request: e.requestID ?? "" };
  }
  console.log(JSON.stringify(seen));
}
