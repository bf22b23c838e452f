/** What the API answers when it does not do what was asked. `status` 0: nothing answered at all. */
export class ApiFailure extends Error {
  readonly status: number;
  readonly code: string;
  readonly field: string | undefined;

  constructor(status: number, code: string, message: string, field?: string) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
  }
}

interface Trouble {
  error?: string;
  message?: string;
  field?: string;
}

const share = new URLSearchParams(location.search).get("share");

/** Whether the page was opened by a public link, which reads one site and changes nothing. */
export const isShared = share !== null;

/** `path` with its query, and with the public link that the page was opened by. */
export function address(path: string, query: Record<string, string> = {}): string {
  const parameters = new URLSearchParams(query);
  if (share !== null) parameters.set("share", share);
  const text = parameters.toString();
  return text ? `${path}?${text}` : path;
}

/** Ask the API; the decoded JSON. Throws ApiFailure, or AbortError when `signal` fires. */
export async function call<T>(method: string, url: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      credentials: "same-origin",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiFailure(0, "unreachable", "The server does not answer. Check that it runs and that you are online.");
  }
  const answer: unknown = await response.json().catch(() => null);
  if (response.ok) return answer as T;
  const trouble = (answer ?? {}) as Trouble;
  throw new ApiFailure(
    response.status,
    trouble.error ?? "unexpected",
    trouble.message ?? `The server answered ${response.status} without saying why.`,
    trouble.field,
  );
}

export const get = <T>(url: string, signal?: AbortSignal) => call<T>("GET", url, undefined, signal);
