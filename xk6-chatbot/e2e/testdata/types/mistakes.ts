// What the typings do not let pass. A line that they let pass is an error of its own.
import { Client, PromptSet, Search, loadPolicy, phase, scenario } from 'k6/x/chatbot';

const policy = loadPolicy('policy.toml');
const bot = new Client({ baseURL: 'http://127.0.0.1:5000', slo: policy.slo });

// @ts-expect-error
new Client({});
// @ts-expect-error
new Client({ baseURL: 'http://127.0.0.1:5000', baseUrl: '' });
// @ts-expect-error
new Client({ baseURL: 'http://127.0.0.1:5000', protocol: 'grpc' });
// @ts-expect-error
new Client({ baseURL: 'http://127.0.0.1:5000', stream: 'yes' });
// @ts-expect-error
new PromptSet('./messages.json', { repeat: 0.5 });
// @ts-expect-error
new Search({ start: 4 });
// @ts-expect-error
scenario('rush');
// @ts-expect-error
scenario('basic', { model: 'half' });
// @ts-expect-error
policy.thresholds({ phases: [{ latency: 5 }] });
// @ts-expect-error
policy.slo = null;

export default async () => {
  // @ts-expect-error
  bot.conversation({ turns: [3] });
  // @ts-expect-error
  bot.conversation({ think: { dist: 'normal' } });
  // @ts-expect-error
  bot.cached('/api/products');
  // @ts-expect-error
  const reply: string = await bot.conversation().send('Bonjour', { language: 'fr' });
  // @ts-expect-error
  const at: number = phase();
};
