// A scenario of which nothing is promised.
import { Client, scenario, summary } from 'k6/x/chatbot';

const bot = new Client({ baseURL: __ENV.BASE_URL });
export const options = { scenarios: { mine: scenario('spike', { scale: 0.02 }) } };
export default () => bot.conversation({ turns: [1, 1], think: { dist: 'fixed', median: 50 } }).run();
export const handleSummary = (data) => summary(data);
