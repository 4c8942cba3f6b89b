// node enrich.mjs TEXT: submits a text and waits for its result, cancels it too late, asks one agent, runs a task.
// NATS_URL says where the broker is.
import { randomUUID } from "node:crypto";
import { connect } from "@nats-io/transport-node";
import { ask, cancel, result, run, slice, submit } from "./backend.mjs";

const text = process.argv[2] ?? "Marta Ruiz of Acme called from Bilbao: two pallets are missing. 📦";
const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222", maxReconnectAttempts: -1 });
try {
  const address = `acme.internal.${randomUUID()}`; // tenant, data class, and the id under which you may repeat it
  const task = { text, wanted: ["sentiment", "entities"], metadata: { ticket: 4711 } };
  const first = await submit(nc, address, task);
  const again = await submit(nc, address, task); // a retry: harmless
  const done = await result(nc, address);
  if (!done) throw new Error("no result within a minute; the task is still in the mesh");
  print("submit", { first, again, status: done.status, metadata: done.metadata, error: done.error });
  for (const [wanted, { value, error }] of Object.entries(done.answers)) print(wanted, error ?? value);
  print("names", done.answers.entities?.value?.entities.map((entity) => slice(text, entity)));

  const [tenant, dataClass, id] = address.split(".");
  print("cancel", await cancel(nc, tenant, dataClass, id)); // too late: the result that came first stands

  const answer = await ask(nc, "sentiment", { text });
  print("ask", answer.error ?? answer.value);

  const ran = await run(nc, "acme", "internal", { text, wanted: ["summary"], timeout_s: 10 });
  print("run", ran.error ?? { status: ran.status, summary: ran.answers.summary.value?.summary });
} finally {
  await nc.drain();
}

function print(what, value) {
  console.log(JSON.stringify({ [what]: value }));
}
