// Chat: up to 15 users who talk, 3 to 5 messages each about products, after-sales service and information, in three languages.
import { customer, load, report } from './shop.js';

export const options = load('chat', ['baseline', 'step_10', 'peak'], {
  'chat_duration{expected_response:true}': ['p(95)<3000'],
  errors: ['rate<0.02'],
});

export default () => customer([3, 5]);

export const handleSummary = report('chat');
