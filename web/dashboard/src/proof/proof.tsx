export function Proof(_: { zone: string }) { return <p>…</p>; }
