import { useEffect, useState } from "preact/hooks";

/** A number that grows every `ms` milliseconds while the page is looked at. */
export function useBeat(ms: number): number {
  const [beat, setBeat] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || setBeat((before) => before + 1), ms);
    return () => clearInterval(timer);
  }, [ms]);
  return beat;
}
