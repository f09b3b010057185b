// What the shop's scenarios share: the server and what its policy promises, the customers with their messages, and the report.
import { Client, PromptSet, loadPolicy, scenario, summary } from 'k6/x/chatbot';

export const scale = Number(__ENV.SCALE || 1); // of every duration: 0.05 is the same shape in a twentieth of the time
const policy = loadPolicy(__ENV.POLICY || '../../policies/chatbot.toml');
const prompts = new PromptSet('./messages.json', { seed: 1 });
const bot = new Client({ baseURL: __ENV.BASE_URL || 'http://127.0.0.1:5000', stream: 'auto', slo: policy.slo });

// load returns the options of a scenario: its stages, what the policy promises of the phases named, and what is promised besides.
export function load(name, phases, thresholds) {
  return {
    scenarios: { [name]: scenario(name, { scale }) },
    thresholds: { ...policy.thresholds({ phases }), ...thresholds },
    summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(95)', 'p(99)'],
  };
}

// customer asks as customers do, with pauses to type between the messages.
export function customer(turns) {
  const think = { dist: 'lognormal', median: 4000 * scale, p95: 12000 * scale, min: 1000 * scale, max: 30000 * scale };
  return bot.conversation({ prompts, turns, think }).run();
}

// report writes the run as text, JSON and HTML.
export const report = (name) => (data) => summary(data, { name, dir: __ENV.OUT || `results/${name}` });
