import { useState } from "preact/hooks";
import { ApiFailure, call } from "./api/client";
import type { Session } from "./api/types";
import { Icon } from "./ui/icon";

/** Signs a browser in with a token. `reason` says why it is asked for. */
export function SignIn({ reason, onSignedIn }: { reason: ApiFailure | null; onSignedIn: (session: Session) => void }) {
  const [token, setToken] = useState("");
  const [failure, setFailure] = useState<ApiFailure | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    setBusy(true);
    try {
      onSignedIn(await call<Session>("POST", "/api/session", { token: token.trim() }));
    } catch (error) {
      setFailure(error instanceof ApiFailure ? error : null);
      setBusy(false);
    }
  };
  const disabled = (failure ?? reason)?.code === "admin_disabled";
  return (
    <main class="sign-in">
      <form class="card form" onSubmit={submit}>
        <span class="brand" aria-hidden="true">
          <Icon name="brand" />
        </span>
        <h1>Portfolio Analytics</h1>
        <label>
          Token
          <input
            class="field"
            type="password"
            autocomplete="current-password"
            required
            value={token}
            aria-invalid={failure !== null}
            aria-describedby="sign-in-help"
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </label>
        {failure && (
          <p class="wrong" role="alert">
            {failure.message}
          </p>
        )}
        <button type="submit" class="button primary" disabled={busy || !token.trim()}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
        <p class="soft" id="sign-in-help">
          {disabled ? (
            <>
              This server has no token yet. Set <code>ADMIN_TOKEN</code> where it runs, or make one with{" "}
              <code>portfolio-analytics tokens create</code>.
            </>
          ) : (
            <>
              The value of <code>ADMIN_TOKEN</code>, the file <code>admin-token</code> in the data directory, or a token made in the settings.
            </>
          )}
        </p>
      </form>
    </main>
  );
}
