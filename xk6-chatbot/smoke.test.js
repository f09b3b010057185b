// What needs no server: that the module is there and its parts can be made.
import { check } from 'k6';
import { Client, PromptSet, Search, scenario } from 'k6/x/chatbot';

export const options = { thresholds: { checks: ['rate==1'] } };

const slo = { latency: '1s', quantile: 0.95, errors: 0.01 };
const bot = new Client({ baseURL: 'http://127.0.0.1:9', slo, timeout: '1s' });
const prompts = new PromptSet();
new Search({ slo });

export default async () => {
  const reply = await bot.conversation().send('Bonjour');
  check(reply, {
    'nobody is there': (r) => !r.ok && r.errorType === 'network' && r.status === 0,
    'the shop has messages': () => prompts.size >= 60 && prompts.next().text !== '',
    'a spike has two peaks': () => scenario('spike').stages.filter((s) => s.target >= 50).length === 4,
  });
};
