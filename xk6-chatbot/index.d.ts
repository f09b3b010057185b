/**
 * k6/x/chatbot loads a chatbot the way people use one: customers who hold conversations and pause to type.
 *
 * @example
 * ```js
 * import { Client, loadPolicy, scenario, summary } from 'k6/x/chatbot';
 *
 * const policy = loadPolicy('./policy.toml'); // the file that the server serves by
 * const bot = new Client({ baseURL: __ENV.BASE_URL, slo: policy.slo });
 *
 * export const options = {
 *   scenarios: { spike: scenario('spike') },
 *   thresholds: policy.thresholds({ phases: ['baseline', 'recovery'] }),
 * };
 * export default () => bot.conversation({ turns: [3, 5] }).run();
 * export const handleSummary = (data) => summary(data, { dir: 'results' });
 * ```
 *
 * Requests go through k6's own HTTP client, so `hosts`, `blacklistIPs`, `rps`, TLS options, cookies, `throw`, `--http-debug` and
 * the `http_req_*` metrics hold for them as they do for `k6/http`.
 *
 * Metrics of each turn, tagged with `scenario`, `phase`, `turn` (1 to 5, `5+`), `intent`, `cache` and `expected_response`:
 *
 * | name | type | meaning |
 * |---|---|---|
 * | `chat_duration` | trend, ms | from sending to the last byte |
 * | `chat_schedule_lag` | trend, ms | how much later than scheduled it was sent |
 * | `chat_duration_corrected` | trend, ms | from when it should have been sent to the last byte |
 * | `chat_first_token`, `chat_time_per_token` | trend, ms | of streams: to the first text, and between texts |
 * | `chat_response_size` | trend, bytes | of the body |
 * | `chat_turns`, `chat_input_tokens`, `chat_output_tokens` | counter | tokens as the server reports them |
 * | `errors` | rate | failed turns; `error_type`: network, timeout, http_4xx, http_5xx, stream, decode, contract (tag `rule`) |
 * | `chat_shed` | rate | turns refused with 429 or 503 and `Retry-After`: no errors |
 * | `chat_goodput` | rate | turns that met every term of the client's `slo` |
 * | `chat_cache_hits`, `chat_cache_contract` | rate | what the server tells of its cache; rules kept, tag `rule` |
 * | `spike_requests` | counter | turns in the phase `peak` |
 * | `chat_recovery_time` | gauge, ms | the longest time it took, or has taken so far, to recover from a spike of any scenario |
 * | `chat_think_time`, `chat_conversation_duration` | trend, ms | |
 * | `chat_conversations_completed` | rate | conversations whose turns were all answered |
 * | `chat_max_rate` | gauge | result of a {@link Search}, turns per second |
 *
 * The conversation's id is in the samples' metadata, not in their tags.
 */
declare module 'k6/x/chatbot' {
  /** A time: milliseconds, or text such as `'1.5s'`. */
  export type Duration = number | string;

  /** What is promised of a turn. */
  export interface SLO {
    /** Time within which the quantile of turns ends. */
    latency: Duration;
    /** Time to the first text of a stream. */
    firstToken?: Duration;
    /** Share of turns within `latency`; 0.95 when absent. */
    quantile?: number;
    /** Largest share of failed turns. */
    errors?: number;
  }

  export interface ClientOptions {
    /** Address of the server, such as `http://127.0.0.1:5000`. */
    baseURL: string;
    /** `innatural` (the default) is the shop's own API, `openai` that of any server with OpenAI's chat completions. */
    protocol?: 'innatural' | 'openai';
    /** Path of the chat; the protocol's when absent: `/api/chat/stream`, `/api/chat` without stream, `/v1/chat/completions`. */
    path?: string;
    /** Ask for a stream: `'auto'` (the default) takes what comes, `true` counts an answer in one piece as an error. */
    stream?: boolean | 'auto';
    /** Time for the whole answer; a minute when absent. */
    timeout?: Duration;
    /** Headers of every request. */
    headers?: Record<string, string>;
    /** Tags of every sample. Keep the number of values small. */
    tags?: Record<string, string>;
    /** What is promised: `loadPolicy(…).slo`, or your own. It decides `chat_goodput` and what counts as recovered. */
    slo?: SLO | null;
    /** `false` saves the work of keeping the text of replies. */
    keepText?: boolean;
    /** Name of the model, for the protocol `openai`. */
    model?: string;
  }

  /** A chatbot under test. Make it in the init context. */
  export class Client {
    constructor(options: ClientOptions);
    /** Begins a customer's conversation. For VU code. */
    conversation(options?: ConversationOptions): Conversation;
    /** Asks for `/api/health`; the promise is of whether the server is well. It counts as no turn. */
    health(): Promise<boolean>;
    /**
     * Asks for a cached route and checks what the answer tells of its cache: a hit within the TTL with the same text, none after
     * it, headers that agree, nothing of another user's request. Each rule that applies is a sample of `chat_cache_contract`.
     */
    cached(path: string, options: CachedOptions): Promise<CachedReply>;
  }

  /** Distribution of the pause before a message. */
  export interface Think {
    /** `lognormal` takes median and p95, `exponential` and `fixed` a median, `uniform` min and max. */
    dist: 'lognormal' | 'exponential' | 'uniform' | 'fixed';
    median?: Duration;
    p95?: Duration;
    /** Bounds of every distribution. */
    min?: Duration;
    max?: Duration;
  }

  export interface ConversationOptions {
    /** Fewest and most messages of `run`; `[3, 5]` when absent. */
    turns?: [number, number];
    /** Pauses; a median of 4 s and a P95 of 12 s when absent. */
    think?: Think;
    /** Where messages come from; the shop's own, in three languages, when absent. */
    prompts?: PromptSet;
    /**
     * `reactive` (the default): the customer reads the answer, then pauses. `fixed`: messages are due at the pauses' distances
     * whatever the server does; what is late is sent at once, and its lag recorded.
     */
    pacing?: 'reactive' | 'fixed';
    /** Of the pauses and the number of turns; runs with one seed draw the same. */
    seed?: number;
  }

  /** One customer's conversation. It belongs to the iteration that began it. */
  export class Conversation {
    /** Its id, the session's on the server. */
    readonly id: string;
    /** Messages sent so far. */
    readonly turn: number;
    /** Sends a message. The promise is rejected only when k6's option `throw` is set and there was no answer. */
    send(text: string, params?: SendParams): Promise<Reply>;
    /** Waits as long as the customer takes for the next message. */
    think(): Promise<void>;
    /**
     * Holds the whole conversation, with pauses, and calls `onReply` with each reply; the conversation ends early when that
     * returns (or resolves to) `false`. What was shed is sent again after `Retry-After`, up to three times. The promise is of
     * whether all was answered.
     */
    run(onReply?: (reply: Reply) => unknown): Promise<boolean>;
  }

  export interface SendParams {
    language?: 'fr' | 'en' | 'ar';
    /** Value of the tag `intent`: one of the prompts' intents, others become `other`. */
    intent?: string;
    userProfile?: Record<string, unknown>;
    headers?: Record<string, string>;
    tags?: Record<string, string>;
  }

  /** The answer to a message. */
  export interface Reply {
    /** It was answered, and no rule of the contract was broken. */
    ok: boolean;
    /** HTTP status; 0 without an answer. */
    status: number;
    text: string;
    /** 1 for the first of its conversation. */
    turn: number;
    cache: 'hit' | 'miss' | 'bypass' | 'unknown';
    /** Refused with 429 or 503 and `Retry-After`. */
    shed: boolean;
    /** Seconds. */
    retryAfter: number;
    /** What went wrong, in words. */
    error: string;
    errorType: '' | 'network' | 'timeout' | 'http_4xx' | 'http_5xx' | 'stream' | 'decode' | 'contract' | 'interrupted';
    /** The broken rule: foreign (another conversation's answer), order, terminator, text, stream. */
    rule: '' | 'foreign' | 'order' | 'terminator' | 'text' | 'stream';
    /** Milliseconds; 0 where there is none. */
    timings: { duration: number; firstToken: number; perToken: number; scheduleLag: number; corrected: number };
    /** -1 where the server doesn't say. */
    usage: { inputTokens: number; outputTokens: number };
  }

  export interface CachedOptions {
    /** The route's TTL; `policy.cache` has it. */
    ttl: Duration;
    headers?: Record<string, string>;
    tags?: Record<string, string>;
  }

  export interface CachedReply {
    ok: boolean;
    status: number;
    text: string;
    cache: 'hit' | 'miss' | 'bypass' | 'unknown';
    /** Seconds; -1 when the answer has none. */
    age: number;
    /** Milliseconds. */
    duration: number;
    /** Broken rules: agree, hit, fresh, same, leak. */
    broken: string[];
  }

  export interface Prompt {
    text: string;
    language: string;
    intent: string;
  }

  /** Messages of a JSON file: an array of `{text, language, intent}`. Make it in the init context. */
  export class PromptSet {
    /** Without a path, the shop's own messages. */
    constructor(path?: string, options?: {
      seed?: number;
      /** Share of messages that were drawn a short while ago. */
      repeatRatio?: number;
    });
    readonly size: number;
    /** Draws a message: each user goes through all of them in an order of their own. For VU code. */
    next(): Prompt;
  }

  export interface ScenarioOptions {
    /** Of every duration: 0.05 runs the same shape in a twentieth of the time. */
    scale?: number;
    /** Users (or arrivals per `timeUnit`) at the highest level; the other levels follow. */
    target?: number;
    /** `closed`: users who wait for answers (the default); `open`: conversations that begin at a rate. */
    model?: 'closed' | 'open';
    /** Of an open model's target; a second when absent. */
    timeUnit?: Duration;
    /** Most users of an open model, ten times its target when absent; users of `breakpoint`, 200 when absent. */
    maxVUs?: number;
    /** Exported function to call instead of the default one. */
    exec?: string;
    startTime?: Duration;
    env?: Record<string, string>;
    tags?: Record<string, string>;
  }

  /**
   * Returns one of the shop's load profiles as a k6 scenario, of the type `Scenario` in `k6/options`. Phases are named from a
   * scenario's stages, of any scenario: `baseline`, `ramp`, `step_N`, `peak`, `recovery`; `steady` when the load never changes.
   */
  export function scenario(name: 'basic' | 'chat' | 'stress' | 'spike' | 'soak' | 'breakpoint', options?: ScenarioOptions): any;

  /** The phase that the test is in. For VU code. */
  export function phase(): string;

  export interface Policy {
    /** What is promised of the route; null when nothing is. */
    readonly slo: (SLO & { latency: number }) | null;
    /** Cached routes; times in milliseconds. */
    readonly cache: { method: string; path: string; ttl: number; stale: number }[];
    /**
     * Returns k6 thresholds by phase: the quantile of `chat_duration_corrected`, the rate of `errors`, and at least one turn that
     * was answered, since k6 lets a threshold pass that nothing ever touched, and a server that sheds all has no errors. With the
     * phase `recovery`, also `chat_recovery_time`.
     */
    thresholds(options: {
      /** Names, or promises that differ from the policy's. */
      phases: (string | { name: string; latency?: Duration; quantile?: number; errors?: number })[];
      /** Longest time to recover; 30 s when absent. Scale it with the scenario, and keep it shorter than the phase. */
      recovery?: Duration;
    }): Record<string, string[]>;
  }

  /**
   * Reads a policy file, relative to the script. Make it in the init context. `route` is whose promise it is, `POST /api/chat`
   * when absent.
   */
  export function loadPolicy(path: string, options?: { route?: string }): Policy;

  export interface SearchOptions {
    /** The promise that has to hold: latency counts from when a turn was due. */
    slo: SLO;
    /** Turns per second: the first rate (4 when absent), the highest (1000), that of control steps (half of start). */
    start?: number;
    max?: number;
    control?: number;
    /** How long a rate is held; 20 s when absent. */
    step?: Duration;
    /** Upper over lower bound of the result; 1.1 when absent. */
    precision?: number;
    seed?: number;
  }

  /**
   * Finds the highest rate of turns that keeps a promise: it doubles the rate until the promise breaks, bisects, and confirms,
   * with a control step at a low rate after each. All users of the scenario `breakpoint` take part in one search.
   *
   * @example
   * ```js
   * const search = new Search({ slo: policy.slo });
   * export const options = { scenarios: { breakpoint: scenario('breakpoint') }, thresholds: { chat_max_rate: ['value>=50'] } };
   * export default () => search.run(() => bot.conversation());
   * ```
   */
  export class Search {
    constructor(options: SearchOptions);
    /** Takes turns until the search has ended: begins a conversation for each, and sends its first message when it is due. */
    run(begin: () => Conversation): Promise<number>;
    /** What was found so far. */
    result(): {
      rate: number;
      /** The lowest rate that broke the promise; 0 when none did. */
      upper: number;
      /** Empty while it goes on. */
      reason: '' | 'found' | 'max' | 'none' | 'not recovered' | 'unstable';
      steps: number;
    };
  }

  /**
   * Writes what the run showed, by phase: for `handleSummary` to return. Text on the terminal, and in `dir` also JSON and one
   * HTML file with plots. It says FAILED where k6 ends with 99, as a threshold was crossed, or with 110, as nothing was measured of
   * a phase or of what a threshold promises.
   */
  export function summary(
    data: object,
    options?: { dir?: string; name?: string; config?: Record<string, unknown>; seed?: number },
  ): Record<string, string>;
}
