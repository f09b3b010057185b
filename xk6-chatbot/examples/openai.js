// Any server that speaks OpenAI's chat completions: conversations of five users for half a minute.
//   bin/k6 run -e BASE_URL=http://127.0.0.1:5000 -e MODEL=shop xk6-chatbot/examples/openai.js
import { Client, summary } from 'k6/x/chatbot';

const bot = new Client({
  baseURL: __ENV.BASE_URL || 'http://127.0.0.1:5000',
  protocol: 'openai',
  model: __ENV.MODEL,
  headers: __ENV.API_KEY ? { Authorization: `Bearer ${__ENV.API_KEY}` } : {},
  slo: { latency: '3s', firstToken: '500ms', errors: 0.01 },
});

export const options = {
  scenarios: { talk: { executor: 'constant-vus', vus: 5, duration: __ENV.DURATION || '30s' } },
  thresholds: { chat_goodput: ['rate>0.95'], errors: ['rate<=0.01'] },
};

export default () => bot.conversation({ turns: [2, 4], think: { dist: 'exponential', median: '300ms', max: '2s' } }).run();

export const handleSummary = (data) => summary(data);
