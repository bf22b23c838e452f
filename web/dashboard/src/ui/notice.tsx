import type { ApiFailure } from "../api/client";

/** What a person can do about a failure. */
function advice({ status, code }: ApiFailure): string {
  if (status === 0) return "It is tried again by itself.";
  if (code === "query_timeout") return "Choose a shorter period or take a filter away.";
  if (code === "admin_disabled") return "Set ADMIN_TOKEN where the server runs, or make a token on its command line.";
  if (status === 403) return "Sign in with a token that may do this.";
  if (status === 429) return "Wait a moment; it is tried again by itself.";
  if (status === 503) return "It is tried again by itself. If it lasts, look at /api/health and the server's log.";
  if (status >= 500) return "The server's log says more. Reload the page when it is mended.";
  if (status === 400) return "Take the filters away, or reload the page.";
  return "";
}

interface Props {
  failure: ApiFailure;
  onRetry?: () => void;
  /** One part of many: where the whole service is away, saying so once is enough. */
  part?: boolean;
}

/** Says what went wrong, and what to do. */
export function Notice({ failure, onRetry, part = false }: Props) {
  if (part && (failure.status === 0 || failure.status === 503) && failure.code !== "query_timeout") {
    return <p class="nothing">Waiting for the server …</p>;
  }
  return (
    <div class="notice" role="alert">
      <p>
        <strong>{failure.message}</strong> {advice(failure)}
      </p>
      {onRetry && (
        <button type="button" class="button" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}
