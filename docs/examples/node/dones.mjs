// node dones.mjs TENANT CLASS [COUNT]: prints the results of a tenant, each until it was acknowledged; COUNT ends it.
// Start it as often as you like: all of them share one durable consumer.
import { AckPolicy, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

const [tenant, dataClass, count = Infinity] = process.argv.slice(2);
const nc = await connect({ servers: process.env.NATS_URL ?? "nats://127.0.0.1:4222", maxReconnectAttempts: -1 });
const name = `archive-${tenant}-${dataClass}`;
const manager = await jetstreamManager(nc);
await manager.consumers.add("SLM_DONE", {
  durable_name: name,
  filter_subject: `slm.v1.done.${tenant}.${dataClass}.*`,
  ack_policy: AckPolicy.Explicit,
});
const consumer = await jetstream(nc).consumers.get("SLM_DONE", name);
let seen = 0;
for await (const message of await consumer.consume()) {
  const done = message.json();
  console.log(JSON.stringify({ id: done.task_id, status: done.status, metadata: done.metadata }));
  await message.ackAck(); // only after your own work with it is safe: what is not acknowledged comes again
  if (++seen >= count) break;
}
await nc.drain();
