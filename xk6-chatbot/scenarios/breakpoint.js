// Breakpoint: the highest rate of messages at which the server keeps what its policy promises, between START and MAX a second.
import { Search, scenario } from 'k6/x/chatbot';
import { bot, policy, report, scale } from './shop.js';

const search = new Search({
  slo: policy.slo, start: Number(__ENV.START || 8), max: Number(__ENV.MAX || 1000), step: Math.max(20000 * scale, 500),
});

export const options = {
  scenarios: { breakpoint: scenario('breakpoint', { scale }) },
  thresholds: { chat_max_rate: ['value>0'] },
  summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(95)', 'p(99)'],
};

export default () => search.run(() => bot.conversation());

export const handleSummary = report('breakpoint');
