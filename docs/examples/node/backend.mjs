// What a backend needs of a smallmesh: submit, result, cancel, ask, run. JSON and subjects over a plain NATS client.
import { setTimeout as sleep } from "node:timers/promises";
import { headers, RequestError } from "@nats-io/transport-node";
import { jetstream, JetStreamApiError } from "@nats-io/jetstream";

const ALREADY_THERE = 10071; // the broker has a submission under this id
const BEING_STORED = 10164; // only in a cluster: one is on its way, so ask again
const RETRY_MS = 20_000; // a cluster that loses a leader stalls for up to eight seconds

/** Publishes a task; true: the broker took it, false: it is in the mesh already, as a retry finds it. */
export async function submit(nc, address, task, { lane = "interactive", traceparent } = {}) {
  const options = { headers: trace(traceparent), expect: { lastSubjectSequence: 0 } };
  const giveUp = Date.now() + RETRY_MS;
  for (;;) {
    try {
      await jetstream(nc).publish(`slm.v1.submit.${lane}.${address}`, JSON.stringify(task), options);
      return true;
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === ALREADY_THERE) return false;
      if (!mayPass(error) || Date.now() > giveUp) throw error;
      await sleep(250);
    }
  }
}

// A stream without a leader looks like none at all ("not enabled"); 503 is a broker that is busy or full.
function mayPass(error) {
  if (error instanceof JetStreamApiError) return error.code === BEING_STORED || error.status === 503;
  return ["JetStreamNotEnabled", "TimeoutError"].includes(error.name);
}

/** Waits for a task's one terminal result; undefined: it has not come yet, which says nothing about the task. */
export async function result(nc, address, { waitMs = 60_000 } = {}) {
  const deadline = Date.now() + waitMs;
  while (Date.now() < deadline) {
    // An ordered consumer begins with what is stored: a result that came before this call is found too.
    const consumer = await jetstream(nc).consumers.get("SLM_DONE", { filter_subjects: [`slm.v1.done.${address}`] });
    const message = await consumer.next({ expires: Math.max(1_000, Math.min(10_000, deadline - Date.now())) });
    if (message) return message.json();
  }
}

/** Cancels a task; the reply's status is how it ended: cancelled, or as it did before. Where it has not, the reply has an error. */
export function cancel(nc, tenant, dataClass, id) {
  return call(nc, `slm.v1.cancel.${tenant}.${dataClass}`, { task_id: id }, 10_000);
}

/** Asks one agent; the answer holds its value or its error. */
export function ask(nc, agent, request, { timeoutMs = 10_000, traceparent } = {}) {
  return call(nc, `slm.v1.ask.${agent}`, request, timeoutMs, traceparent);
}

/** Runs a whole task while the caller waits; nothing is stored, nothing is tried again. */
export function run(nc, tenant, dataClass, task, { traceparent } = {}) {
  const timeoutMs = ((task.timeout_s ?? 30) + 2) * 1_000; // the mesh answers `expired` before this client gives up
  return call(nc, `slm.v1.run.${tenant}.${dataClass}`, task, timeoutMs, traceparent);
}

async function call(nc, subject, body, timeout, traceparent) {
  try {
    const reply = await nc.request(subject, JSON.stringify(body), { timeout, headers: trace(traceparent) });
    return reply.json();
  } catch (error) {
    if (error instanceof RequestError && error.isNoResponders()) throw new Error(`nobody answers ${subject}`, { cause: error });
    throw error;
  }
}

function trace(traceparent) {
  const carried = headers();
  if (traceparent) carried.set("traceparent", traceparent);
  return carried;
}

/** The part of a text between two offsets of an answer: they count code points, JavaScript counts UTF-16 units. */
export function slice(text, { start, end }) {
  return Array.from(text).slice(start, end).join("");
}
