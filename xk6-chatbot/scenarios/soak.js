// Soak: 20 users for four hours. What slows down or fails little by little shows against the first half hour.
import { customer, load, report } from './shop.js';

export const options = load('soak', ['baseline', 'steady'], {
  'chat_duration{expected_response:true}': ['p(95)<3000'],
  errors: ['rate<0.01'],
});

export default () => customer([3, 5]);

export const handleSummary = report('soak');
