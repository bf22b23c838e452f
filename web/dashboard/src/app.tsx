import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { AdminContext } from "./admin";
import { address, ApiFailure, call, get, isShared } from "./api/client";
import type { Session } from "./api/types";
import { forgetAnswers } from "./api/use-query";
import { Dashboard } from "./dashboard";
import { SignIn } from "./sign-in";
import { Notice } from "./ui/notice";
import { formatView, NavigationContext, parseView, type Navigation, type View } from "./view";

const RETRY_MS = 5000;

/** Who is there, and what they look at. */
export function App() {
  const [view, setView] = useState<View>(() => parseView(location.search));
  const [session, setSession] = useState<Session | null>(null);
  const [failure, setFailure] = useState<ApiFailure | null>(null);

  const load = useCallback(() => {
    get<Session>(address("/api/session")).then(
      (found) => {
        setSession(found);
        setFailure(null);
      },
      (error: unknown) => {
        if (error instanceof ApiFailure) setFailure(error);
        if (error instanceof ApiFailure && (error.status === 401 || error.status === 403)) setSession(null);
      },
    );
  }, []);
  useEffect(load, []);

  const waiting = failure !== null && ![401, 403].includes(failure.status);
  useEffect(() => {
    if (!waiting) return undefined;
    const timer = setInterval(load, RETRY_MS);
    return () => clearInterval(timer);
  }, [waiting]);

  useEffect(() => {
    const back = () => setView(parseView(location.search));
    addEventListener("popstate", back);
    addEventListener("signed-out", load);
    return () => {
      removeEventListener("popstate", back);
      removeEventListener("signed-out", load);
    };
  }, []);

  const navigation = useMemo<Navigation>(
    () => ({
      view,
      go: (change, replace = false) => {
        const next = { ...view, ...change };
        const target = formatView(next);
        if (replace) history.replaceState(null, "", target);
        else if (target !== location.search) history.pushState(null, "", target);
        if (change.page && change.page !== view.page) scrollTo(0, 0);
        setView(next);
      },
    }),
    [view],
  );

  const signOut = async () => {
    await call("DELETE", "/api/session").catch(() => undefined);
    forgetAnswers();
    setSession(null);
    setFailure(null);
    load();
  };

  if (session) {
    return (
      <NavigationContext.Provider value={navigation}>
        <AdminContext.Provider value={session.admin}>
          <Dashboard session={session} onSession={load} onSignOut={signOut} />
        </AdminContext.Provider>
      </NavigationContext.Provider>
    );
  }
  if (!failure) return <div class="loading" role="status" aria-label="Loading" />;
  if (isShared && failure.status === 401) {
    return (
      <main class="sign-in">
        <div class="card form">
          <h1>This link does not work any more</h1>
          <p>It was revoked, or is not complete. Ask whoever gave it to you for another one.</p>
        </div>
      </main>
    );
  }
  if (!waiting) return <SignIn reason={failure} onSignedIn={setSession} />;
  return (
    <main class="sign-in">
      <Notice failure={failure} onRetry={load} />
    </main>
  );
}
