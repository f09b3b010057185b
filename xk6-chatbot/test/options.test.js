// Mistakes in options are said where they are made.
import { check } from 'k6';
import { Client, PromptSet, Search, loadPolicy, scenario } from 'k6/x/chatbot';

export const options = { thresholds: { checks: ['rate==1'] } };

const baseURL = 'http://127.0.0.1:9';
const mistakes = {
  'there is no option "baseUrl"': () => new Client({ baseUrl: baseURL }),
  'is not the address of a server': () => new Client({ baseURL: '127.0.0.1' }),
  "it is true, false or 'auto'": () => new Client({ baseURL, stream: 'yes' }),
  'protocol "grpc" is not one of': () => new Client({ baseURL, protocol: 'grpc' }),
  'timeout is not over 0': () => new Client({ baseURL, timeout: 0 }),
  'option slo.errors can\'t be a string': () => new Client({ baseURL, slo: { latency: 1, errors: 'few' } }),
  'there is no scenario "rush"; there are basic, breakpoint, chat, soak, spike, stress': () => scenario('rush'),
  'scale is -1': () => scenario('basic', { scale: -1 }),
  'model "half" is not one of closed, open': () => scenario('basic', { model: 'half' }),
  'repeatRatio is 2': () => new PromptSet(undefined, { repeatRatio: 2 }),
  'nothing.json': () => new PromptSet('./nothing.json'),
  'nothing.toml': () => loadPolicy('./nothing.toml'),
  'slo needs a latency over 0': () => new Search({}),
  'start is 10 and max is 1': () => new Search({ slo: { latency: 1000 }, start: 10, max: 1 }),
};

const said = {};
for (const [message, make] of Object.entries(mistakes)) {
  try {
    make();
    said[message] = 'nothing';
  } catch (e) {
    said[message] = e.message || String(e);
  }
}
const bot = new Client({ baseURL });

export default () => {
  for (const message of Object.keys(mistakes)) {
    check(said[message], { [message]: (s) => s.includes(message) || console.error(`${message}: ${s}`) });
  }
  for (const [message, options] of Object.entries({
    'turns is [3]': { turns: [3] },
    'think: dist "normal" is not one of': { think: { dist: 'normal' } },
    'pacing "slow" is not one of': { pacing: 'slow' },
  })) {
    check(null, { [message]: () => {
      try {
        bot.conversation(options);
      } catch (e) {
        return String(e).includes(message) || console.error(`${message}: ${e}`);
      }
      return false;
    } });
  }
};
