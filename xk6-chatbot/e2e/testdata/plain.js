import http from 'k6/http';
import { check, sleep } from 'k6';

export const options = {
  vus: 100,
  iterations: 300,
  thresholds: { checks: ['rate==1'], http_req_failed: ['rate==0'], http_req_duration: ['p(95)<3000'] },
};

const url = __ENV.BASE_URL;
const json = { headers: { 'Content-Type': 'application/json' } };

export default function () {
  const health = http.get(`${url}/api/health`);
  check(health, { 'health: 200': (r) => r.status === 200, 'health: status': (r) => r.json('status') === 'healthy' });

  const message = { message: 'Quel shampooing pour cheveux secs ?', sessionId: `user-${__VU}` };
  const chat = http.post(`${url}/api/chat`, JSON.stringify(message), json);
  check(chat, {
    'chat: 200': (r) => r.status === 200,
    'chat: no 429': (r) => r.status !== 429,
    'chat: response': (r) => typeof r.json('response') === 'string' && r.json('response').length > 0,
  });

  const summary = http.get(`${url}/api/metrics/summary`);
  check(summary, { 'summary: 200': (r) => r.status === 200, 'summary: metrics': (r) => r.json('metrics.requests.total') >= 0 });
  sleep(0.1);
}
