// What the shop's scenarios share: the server and what its policy promises, the customers, and the report.
import { Client, loadPolicy, scenario, summary } from 'k6/x/chatbot';

export const scale = Number(__ENV.SCALE || 1); // of every duration: 0.05 is the same shape in a twentieth of the time
export const policy = loadPolicy(__ENV.POLICY || '../../policies/chatbot.toml');
export const bot = new Client({ baseURL: __ENV.BASE_URL || 'http://127.0.0.1:5000', slo: policy.slo });

// load returns the options of a scenario: its stages, what the policy promises of the phases named, or what they say instead, and
// what is promised of the whole.
export function load(name, phases, thresholds = {}) {
  return {
    scenarios: { [name]: scenario(name, { scale }) },
    thresholds: { ...policy.thresholds({ phases, recovery: 30000 * scale }), ...thresholds },
    summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(95)', 'p(99)'],
  };
}

// customer sends between the fewest and the most messages of messages.json, with pauses to type.
export function customer(turns) {
  return bot.conversation({
    turns,
    think: { dist: 'lognormal', median: 4000 * scale, p95: 12000 * scale, min: 1000 * scale, max: 30000 * scale },
  }).run();
}

// report writes the run as text, JSON and HTML.
export const report = (name) => (data) => summary(data, { name, dir: __ENV.OUT || `results/${name}` });
