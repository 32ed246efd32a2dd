/** Calls that only the leader can carry out, wherever they are made. */
import { type Peer, RaftError } from '@coracle/raft-core'
import type { ServiceContext } from './context.ts'
import * as errors from './errors.ts'
import { EtcdError } from './errors.ts'
import { type Method, unary } from './method.ts'
import { pause } from './pause.ts'
import { type Codec, codecOf } from './schema.ts'
import type { HeaderOnly } from './wire.ts'

/** A call on its way to the leader. */
export interface ForwardedCall {
  readonly leader: Peer
  /** As in gRPC: `/etcdserverpb.Cluster/MemberAdd`. */
  readonly path: string
  /** The request as a protocol buffer. */
  readonly request: Uint8Array
}

/** What the leader answers: the response as a protocol buffer, or a gRPC status. */
export type ForwardedAnswer =
  | { readonly response: Uint8Array }
  | { readonly code: number; readonly message: string }

/**
 * Brings a call to the leader. Null if the leader cannot be reached, so that nothing happened; rejects
 * if it is not known what became of the call.
 */
export type Forward = (call: ForwardedCall) => Promise<ForwardedAnswer | null>

/** A method by its path and the full names of its messages. */
export interface Declared {
  readonly path: string
  readonly request: string
  readonly response: string
}

export interface LeaderCalls {
  /** A method that is carried out here if this member leads, and else brought to the leader. */
  method(declared: Declared, carryOut: (request: never) => Promise<HeaderOnly>): Method
  /** Carries out what another member passed on, and never passes it on again. Never rejects. */
  answer(path: string, request: Uint8Array): Promise<ForwardedAnswer>
}

/** How long until the next attempt, while it is open who leads. */
const RETRY_MS = 50

interface Entry {
  readonly requests: Codec<object>
  readonly responses: Codec<object>
  readonly carryOut: (request: never) => Promise<HeaderOnly>
}

export function leaderCalls(context: ServiceContext): LeaderCalls {
  const entries = new Map<string, Entry>()
  return {
    method(declared, carryOut) {
      const entry: Entry = {
        requests: codecOf(declared.request),
        responses: codecOf(declared.response),
        carryOut,
      }
      entries.set(declared.path, entry)
      return unary((request: never, call) =>
        context.wait(() => anywhere(context, declared.path, entry, request), call),
      )
    },
    async answer(path, bytes) {
      try {
        const entry = entries.get(path)
        if (entry === undefined) throw errors.notLeader
        const request = entry.requests.decode(bytes) as never
        // That this member does not lead is for whoever passed the call on, which tries again elsewhere:
        // said to a client it would mean that nobody knows what became of the call.
        const response = await context.wait(() => here(entry, request), { cancelled: false })
        if (response === null) throw errors.notLeader
        return { response: entry.responses.encode(response) }
      } catch (error) {
        const { code, message } = errors.unexpected(error)
        return { code, message }
      }
    },
  }
}

async function anywhere(
  context: ServiceContext,
  path: string,
  entry: Entry,
  request: never,
): Promise<HeaderOnly> {
  const { node, environment, limits } = context.options
  const deadline = environment.now() + limits.requestTimeoutMs
  for (;;) {
    const answer =
      node.status().role === 'leader'
        ? await here(entry, request)
        : await atLeader(context, path, entry, request)
    if (answer !== null) return answer
    if (environment.now() >= deadline) throw errors.timeout
    await pause(environment, RETRY_MS)
  }
}

/** Null if this member turned out not to lead: nothing happened then. */
async function here(entry: Entry, request: never): Promise<HeaderOnly | null> {
  try {
    return await entry.carryOut(request)
  } catch (error) {
    if (isNotLeader(error)) return null
    throw error
  }
}

/** Null if there is no leader, or it turned out not to lead. */
async function atLeader(
  context: ServiceContext,
  path: string,
  entry: Entry,
  request: never,
): Promise<HeaderOnly | null> {
  const { node, forward, environment, electionTimeoutMs } = context.options
  const { leader: id, membership } = node.status()
  const leader = membership.peers.find((peer) => peer.id === id)
  if (leader === undefined) return null
  if (forward === null) throw errors.notLeader
  const answer = await forward({ leader, path, request: entry.requests.encode(request) }).catch(
    (): never => {
      throw errors.timeoutConnectionLost
    },
  )
  if (answer === null) return null
  if ('code' in answer) {
    if (answer.message === errors.notLeader.message) return null
    throw new EtcdError(answer.code, answer.message)
  }
  // What was answered is true here, too, before anybody is told; unless it is that this member is
  // none any more, and will hear nothing.
  await Promise.race([node.read().catch(() => 0), pause(environment, electionTimeoutMs)])
  return { ...entry.responses.decode(answer.response), header: context.header(0) }
}

function isNotLeader(error: unknown): boolean {
  return error instanceof RaftError && error.code === 'NOT_LEADER'
}
