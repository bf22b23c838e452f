import type { Session } from "../api/types";
export function Settings(_: { session: Session; site: string | null; onSession: () => void }) { return <p>…</p>; }
