// Stress: from 10 users to 100 in steps. The report shows at which step it degrades, and whether it comes back afterwards.
import { customer, load, report } from './shop.js';

export const options = load('stress', ['baseline', { name: 'recovery', latency: '10s', errors: 0.1 }], {
  'chat_duration{expected_response:true}': ['p(99)<10000'],
  errors: ['rate<0.1'],
});

export default () => customer([3, 5]);

export const handleSummary = report('stress');
