// The contract of cached routes, held under load by twenty users: hits within the TTL, the same text, nothing of another user's.
//   bin/k6 run -e BASE_URL=http://127.0.0.1:5000 xk6-chatbot/examples/cache.js
import { Client, loadPolicy } from 'k6/x/chatbot';

const policy = loadPolicy('../../policies/chatbot.toml');
const bot = new Client({ baseURL: __ENV.BASE_URL || 'http://127.0.0.1:5000' });
const { ttl } = policy.cache.find((route) => route.path === '/api/products');

export const options = {
  scenarios: { cache: { executor: 'per-vu-iterations', vus: 20, iterations: 50 } },
  thresholds: { chat_cache_contract: ['rate==1'], chat_cache_hits: ['rate>0.8'] },
};

export default async () => {
  for (const language of ['fr', 'en', 'ar']) {
    const reply = await bot.cached(`/api/products?language=${language}`, { ttl });
    if (reply.broken.length > 0) console.error(`${language}: ${reply.broken}`);
  }
};
