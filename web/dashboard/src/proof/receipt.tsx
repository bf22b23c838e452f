import { useState } from "preact/hooks";
import { address, ApiFailure, get } from "../api/client";
import type { Receipt } from "../api/types";
import { formatClock, formatDate, formatLatency } from "../format";
import { Icon } from "../ui/icon";

const STATES: Record<Receipt["state"], string> = {
  spooled: "Stored on the producer's disk; it goes to the log when the log is back.",
  logged: "Stored in the log; it is counted in a moment.",
  counted: "Stored in the database and part of the numbers.",
  duplicate: "Was there already: the one before it is counted, this one is not.",
  rejected: "Could not be counted. The bad rows say why.",
};

/** Looks up what became of one event. */
export function ReceiptForm({ zone }: { zone: string }) {
  const [id, setId] = useState("");
  const [receipt, setReceipt] = useState<Receipt | null>(null);
  const [failure, setFailure] = useState<ApiFailure | null>(null);
  const submit = async (event: Event) => {
    event.preventDefault();
    setReceipt(null);
    setFailure(null);
    try {
      setReceipt(await get<Receipt>(address(`/api/receipts/${encodeURIComponent(id.trim())}`)));
    } catch (error) {
      if (error instanceof ApiFailure) setFailure(error);
    }
  };
  return (
    <section class="card ledger" aria-labelledby="receipt-title">
      <header>
        <h2 id="receipt-title">Receipt</h2>
      </header>
      <p class="soft lead">Every answer of success names an event_id. Ask what became of it.</p>
      <form class="inline-form" onSubmit={submit}>
        <input
          class="field code"
          required
          placeholder="event_id"
          aria-label="Event id"
          spellcheck={false}
          value={id}
          onInput={(event) => setId(event.currentTarget.value)}
        />
        <button type="submit" class="button primary">
          Look up
        </button>
      </form>
      <div aria-live="polite">
        {receipt && <Steps receipt={receipt} zone={zone} />}
        {failure && (
          <p class="wrong lead">
            {failure.status === 404 ? "No event has this id: it was never acknowledged, or is too old." : failure.message}
          </p>
        )}
      </div>
    </section>
  );
}

function Steps({ receipt, zone }: { receipt: Receipt; zone: string }) {
  const time = (at: string | null) => (at ? `${formatDate(at)}, ${formatClock(at, zone)}` : "");
  const took = receipt.accepted_at && receipt.counted_at ? Date.parse(receipt.counted_at) - Date.parse(receipt.accepted_at) : null;
  const place = receipt.offset === null ? "" : `partition ${receipt.partition}, offset ${receipt.offset}`;
  return (
    <div class="receipt">
      <p>
        <strong class={receipt.state === "rejected" ? "worse" : "better"}>{receipt.state}</strong> {STATES[receipt.state]}
      </p>
      <ol>
        <li>
          <Icon name="check" /> Accepted <span class="soft">{time(receipt.accepted_at)}</span>
        </li>
        {place && (
          <li>
            <Icon name="check" /> In the log <span class="soft">{place}</span>
          </li>
        )}
        {receipt.counted_at && (
          <li>
            <Icon name="check" /> Counted <span class="soft">{time(receipt.counted_at)}{took !== null && took >= 0 ? `, after ${formatLatency(took)}` : ""}</span>
          </li>
        )}
      </ol>
    </div>
  );
}
