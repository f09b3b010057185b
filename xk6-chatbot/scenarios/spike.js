// Spike: from 5 users to 100 within 10 seconds, back to 5, then to 50. It bears the spikes, and is soon back to what the policy promises.
import { customer, load, report, scale } from './shop.js';

export const options = load('spike', ['baseline', 'recovery'], {
  'chat_duration{phase:peak,expected_response:true}': ['p(95)<5000'],
  'errors{phase:peak}': ['rate<0.15'],
  chat_recovery_time: [`value<${30000 * scale}`],
  spike_requests: ['count>0'],
});

export default () => customer([3, 5]);

export const handleSummary = report('spike');
