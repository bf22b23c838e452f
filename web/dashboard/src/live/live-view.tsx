export function LiveView(_: { site: string; zone: string; live: unknown; now: number }) { return <p>…</p>; }
