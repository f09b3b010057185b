// Basic: 10 users, then 20, each with one question at a time. It is quick, and hardly anything fails.
import { customer, load, report } from './shop.js';

export const options = load('basic', ['baseline', 'peak'], {
  'chat_duration{expected_response:true}': ['p(95)<500'],
  errors: ['rate<0.01'],
});

export default () => customer([1, 1]);

export const handleSummary = report('basic');
