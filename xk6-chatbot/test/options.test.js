// Mistakes in options are said where they are made.
import { check } from 'k6';
import { Client, PromptSet, Search, loadPolicy, phase, scenario, summary } from 'k6/x/chatbot';

export const options = { thresholds: { checks: ['rate==1'] } };

const baseURL = 'http://127.0.0.1:9';
const slo = { latency: 1000 };
const bot = new Client({ baseURL });
const search = new Search({ slo });
const policy = loadPolicy('./policy.toml');
const silent = loadPolicy('./policy.toml', { route: 'GET /api/health' });

const searching = (options) => () => new Search({ slo, ...options });
const talking = (options) => () => bot.conversation(options);
const thinking = (think) => talking({ think });

// What is said of each mistake. Mistakes of the init context are made there, the others by a user.
const early = {
  'new Client: there is no option "baseUrl"; there are baseURL, path, ': () => new Client({ baseUrl: baseURL }),
  'new Client: options are an object, not http': () => new Client(baseURL),
  'new Client: baseURL "" is not the address of a server': () => new Client(),
  'new Client: baseURL "127.0.0.1" is not the address of a server': () => new Client({ baseURL: '127.0.0.1' }),
  "new Client: stream is yes; it is true, false or 'auto'": () => new Client({ baseURL, stream: 'yes' }),
  'new Client: protocol "grpc" is not one of innatural, openai': () => new Client({ baseURL, protocol: 'grpc' }),
  'new Client: path "chat" does not begin with /': () => new Client({ baseURL, path: 'chat' }),
  'new Client: timeout is not over 0': () => new Client({ baseURL, timeout: 0 }),
  'new Client: time: invalid duration "soon"': () => new Client({ baseURL, timeout: 'soon' }),
  "new Client: option slo.errors can't be a string": () => new Client({ baseURL, slo: { latency: 1, errors: 'few' } }),
  'new Client: slo: there is no option "p95"; there are latency, firstToken, ': () => new Client({ baseURL, slo: { p95: 1 } }),
  'new Client: slo has a negative time, or a quantile that is not below 1': () => new Client({ baseURL, slo: { quantile: 95 } }),
  "new Client: option headers can't be a number": () => new Client({ baseURL, headers: { 'X-Number': 1 } }),
  "new Client: option tags can't be a number": () => new Client({ baseURL, tags: { number: 1 } }),
  "new Client: option keepText can't be a string": () => new Client({ baseURL, keepText: 'no' }),
  "a conversation can't begin in the init context": talking(),
  "cached: requests can't be made in the init context": () => bot.cached('/api/products', { ttl: '1m' }),
  "health: requests can't be made in the init context": () => bot.health(),
  'next: messages are drawn by virtual users': () => new PromptSet().next(),
  'conversations are held in scenarios': phase,
  'scenario: there is no scenario "rush"; there are basic, breakpoint, chat, soak, spike, stress': () => scenario('rush'),
  'scenario: there is no option "users"; there are scale, target, ': () => scenario('basic', { users: 5 }),
  'scenario: scale is -1; it is from 0.001 to 100': () => scenario('basic', { scale: -1 }),
  'scenario: target and maxVUs are never negative': () => scenario('basic', { target: -1 }),
  'scenario: model "half" is not one of closed, open': () => scenario('basic', { model: 'half' }),
  'scenario: timeUnit is 0s; it is over 0': () => scenario('basic', { timeUnit: 0 }),
  'new PromptSet: repeatRatio is 2; it is from 0 to 1': () => new PromptSet(undefined, { repeatRatio: 2 }),
  'new PromptSet: there is no option "ratio"; there are seed, repeatRatio': () => new PromptSet(undefined, { ratio: 2 }),
  'new PromptSet: needs the path of a file of messages': () => new PromptSet(''),
  'nothing.json': () => new PromptSet('./nothing.json'),
  'wrong.toml: it is an array of objects with text, language and intent': () => new PromptSet('./wrong.toml'),
  'wrong.json: a message has no text': () => new PromptSet('./wrong.json'),
  'loadPolicy: needs the path of a policy': () => loadPolicy(''),
  'nothing.toml': () => loadPolicy('./nothing.toml'),
  'slo.latency: "soon" is not a duration': () => loadPolicy('./wrong.toml'),
  'policy.toml has no route "/api/chat"; name it as method and path': () => loadPolicy('./policy.toml', { route: '/api/chat' }),
  'policy.toml has no route "GET /nothing"': () => loadPolicy('./policy.toml', { route: 'GET /nothing' }),
  "thresholds: needs phases, such as ['baseline', 'recovery']": () => policy.thresholds(),
  'thresholds: a phase has no name': () => policy.thresholds({ phases: [{ latency: 5 }] }),
  'thresholds: phases: there is no option "p95"': () => policy.thresholds({ phases: [{ name: 'peak', p95: 5 }] }),
  'thresholds: phases: options are an object, not 5': () => policy.thresholds({ phases: [5] }),
  'it has no slo), so phase "peak" needs latency and errors': () => silent.thresholds({ phases: ['peak'] }),
  'new Search: slo needs a latency over 0': () => new Search({}),
  'new Search: slo needs a latency over 0, a quantile between 0 and 1, errors': searching({ slo: { latency: 1, quantile: 2 } }),
  'new Search: start is 10 and max is 1': searching({ start: 10, max: 1 }),
  'new Search: control is 9; it is over 0 and at most start': searching({ control: 9 }),
  'new Search: step is 10ms; it is at least 100ms': searching({ step: 10 }),
  'new Search: precision is 1; it is from 1.01 to 4': searching({ precision: 1 }),
  'result: 0 scenarios have searched': () => search.result(),
  'summary: there is no option "folder"; there are dir, name, config, seed': () => summary({}, { folder: 'results' }),
};
const late = {
  'conversation: there is no option "turn"; there are turns, think, pacing, seed': talking({ turn: 3 }),
  'conversation: turns is [3]; it is the fewest and the most': talking({ turns: [3] }),
  'conversation: turns is [5 3]': talking({ turns: [5, 3] }),
  "conversation: option turns can't be a number": talking({ turns: 3 }),
  'conversation: pacing "slow" is not one of reactive, fixed': talking({ pacing: 'slow' }),
  'conversation: prompts is a PromptSet': talking({ prompts: ['Bonjour'] }),
  'conversation: options are an object, not [5]': talking([5]),
  'conversation: options are an object, not French': talking('French'),
  'conversation: options are an object, not 3': talking(3),
  'conversation: think: there is no option "mean"; there are dist, median, ': thinking({ dist: 'fixed', mean: 5 }),
  'conversation: think: dist "normal" is not one of': thinking({ dist: 'normal' }),
  'conversation: think: dist "fixed" needs a median': thinking({ dist: 'fixed' }),
  'conversation: think: dist "lognormal" needs a median over 0 and a p95': thinking({ dist: 'lognormal', median: 5, p95: 1 }),
  'conversation: think: dist "uniform" needs a max': thinking({ dist: 'uniform', min: 1 }),
  'conversation: think: min is longer than max': thinking({ dist: 'uniform', min: 2, max: 1 }),
  'conversation: think: a duration is negative': thinking({ dist: 'fixed', median: -1 }),
  'a PromptSet is made in the init context': () => new PromptSet('./wrong.json'),
  'a policy is loaded in the init context': () => loadPolicy('./policy.toml'),
  'send: there is no option "lang"; there are language, intent, ': () => bot.conversation().send('Bonjour', { lang: 'fr' }),
  'run: onReply is a function': () => bot.conversation().run('reply'),
  'run: needs a function that returns a conversation': () => search.run(bot),
  'run: the function has to return a conversation': () => search.run(() => 1),
  'cached: needs a path that begins with / and the route\'s ttl': () => bot.cached('/api/products', {}),
  'cached: there is no option "TTL"; there are ttl, headers, tags': () => bot.cached('/api/products', { TTL: '1m' }),
};

// said returns what is said of a mistake.
const said = (e) => e.message || String(e);
const saidEarly = Object.entries(early).map(([want, make]) => {
  try {
    make();
  } catch (e) {
    return [want, said(e)];
  }
  return [want, 'nothing'];
});

export default async () => {
  const all = [...saidEarly];
  for (const [want, make] of Object.entries(late)) {
    let got = 'nothing';
    try {
      await make();
    } catch (e) {
      got = said(e);
    }
    all.push([want, got]);
  }
  for (const [want, got] of all) {
    check(got, { [want]: () => got.includes(want) || console.error(`of "${want}" is said: ${got}`) });
  }
};
