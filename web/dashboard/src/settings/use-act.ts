import { useState } from "preact/hooks";
import { ApiFailure } from "../api/client";

export interface Act {
  busy: boolean;
  failure: ApiFailure | null;
  /** Does something; whether it worked. */
  run: (work: () => Promise<unknown>) => Promise<boolean>;
}

/** One thing after another that a person asks for, and how the last one went. */
export function useAct(): Act {
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<ApiFailure | null>(null);
  const run = async (work: () => Promise<unknown>) => {
    setBusy(true);
    setFailure(null);
    try {
      await work();
      return true;
    } catch (error) {
      setFailure(error instanceof ApiFailure ? error : new ApiFailure(0, "mistake", String(error)));
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { busy, failure, run };
}
