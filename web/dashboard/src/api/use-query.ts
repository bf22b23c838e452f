import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import { ApiFailure } from "./client";
import { ask, type Answer, type Query } from "./query";

export interface Found<T> {
  /** The last answer; of another question while `busy`. */
  data: T | null;
  failure: ApiFailure | null;
  busy: boolean;
  /** `data` answers a question that was asked before; the answer to this one is awaited. */
  stale: boolean;
  /** Ask again now. */
  retry: () => void;
}

/** A number that grows whenever what is shown should be asked for again. */
export const RefreshContext = createContext(0);

/** What passes by itself: nothing answered, too many requests, something is away. */
const PASSING = new Set([0, 429, 503]);
const AGAIN_MS = 5000;
const MOST_KEPT = 200;
const answers = new Map<string, Answer>();

/** Forget all answers, as who signs out expects. */
export const forgetAnswers = () => answers.clear();

/** The answer to `query` (null: no question). What is known is shown at once, and asked for again behind it. */
export function useQuery(query: Query | null): Found<Answer> {
  const refresh = useContext(RefreshContext);
  const key = query && JSON.stringify(query);
  // While the answer is awaited, that of a question of the same form stands in its place.
  const form = query && JSON.stringify([query.site_id, query.metrics, query.dimensions]);
  const found = useFound(
    key,
    refresh,
    async (signal) => {
      const answer = await ask(query as Query, signal);
      keep(key as string, answer);
      return { answer, form };
    },
  );
  const known = key === null ? undefined : answers.get(key);
  if (known && !found.failure) return { ...found, data: known, stale: false };
  return { ...found, data: found.data?.form === form ? found.data.answer : null };
}

function keep(key: string, answer: Answer): void {
  answers.delete(key);
  answers.set(key, answer);
  const [oldest] = answers.keys();
  if (answers.size > MOST_KEPT && oldest !== undefined) answers.delete(oldest);
}

/** What `load` finds, asked for whenever `key` or `refresh` changes; a `key` of null asks for nothing. */
export function useFound<T>(
  key: string | null,
  refresh: number,
  load: (signal: AbortSignal) => Promise<T>,
): Found<T> {
  const [state, setState] = useState<Omit<Found<T>, "stale" | "retry"> & { key: string | null }>({ key, data: null, failure: null, busy: true });
  const [attempt, setAttempt] = useState(0);
  const retry = () => setAttempt((before) => before + 1);
  useEffect(() => {
    if (key === null) return undefined;
    let timer = 0;
    const controller = new AbortController();
    setState((before) => ({ ...before, busy: true }));
    load(controller.signal).then(
      (data) => setState({ key, data, failure: null, busy: false }),
      (error: unknown) => {
        if (controller.signal.aborted) return;
        const failure = error instanceof ApiFailure ? error : new ApiFailure(0, "mistake", String(error));
        setState((before) => ({ key, data: before.key === key ? before.data : null, failure, busy: false }));
        if (failure.status === 401) dispatchEvent(new Event("signed-out"));
        if (PASSING.has(failure.status)) timer = setTimeout(retry, AGAIN_MS);
      },
    );
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [key, refresh, attempt]);
  return { ...state, stale: state.key !== key, retry };
}
