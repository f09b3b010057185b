// A customer's talk, message by message.
//   bin/k6 run -e BASE_URL=http://127.0.0.1:5000 xk6-chatbot/examples/talk.js
import { check } from 'k6';
import { Client } from 'k6/x/chatbot';

const bot = new Client({ baseURL: __ENV.BASE_URL || 'http://127.0.0.1:5000' });

export const options = { thresholds: { checks: ['rate==1'] } };

export default async () => {
  const talk = bot.conversation({ think: { dist: 'uniform', min: '0.2s', max: '0.5s' } });
  for (const text of ['Quel shampooing pour cheveux secs ?', 'Et la livraison ?']) {
    await talk.think();
    const reply = await talk.send(text, { language: 'fr', intent: 'products' });
    check(reply, { 'is answered': (r) => r.ok, 'has a text': (r) => r.text !== '' });
    console.log(`${reply.timings.firstToken.toFixed(1)} ms to the first word: ${reply.text}`);
  }
};
