// Spike: from 5 users to 100 within 10 seconds, back to 5, then to 50. The server bears it, and is soon back to what its policy
// promises.
import { customer, load, report } from './shop.js';

export const options = load('spike', ['baseline', { name: 'peak', latency: '5s', errors: 0.15 }, 'recovery']);

export default () => customer([3, 5]);

export const handleSummary = report('spike');
