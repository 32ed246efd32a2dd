/**
 * Who was removed is written down beside the keys, so that a member which was away meanwhile can be
 * told by any other. The leader sees to it, whoever removed the member and whatever failed since.
 */
import { encodeCommand } from '@coracle/kv-state-machine'
import type { NodeId } from '@coracle/raft-core'
import type { ServiceContext } from './context.ts'

const NOBODY = { cancelled: false }

/** Writes down that these are gone. Never rejects: what fails is seen to later. */
export async function recordDeparture(
  context: ServiceContext,
  ids: readonly NodeId[],
): Promise<void> {
  const command = encodeCommand({ type: 'remove-members', request: { ids } })
  await context.propose(command, NOBODY).catch(() => {})
}

/** Looks once in an election timeout for members that said something of themselves and are none any more. */
export function recordDepartures(context: ServiceContext): Disposable {
  const { environment, electionTimeoutMs } = context.options
  let isBusy = false
  const look = async (): Promise<void> => {
    const gone = departed(context)
    if (isBusy || gone.length === 0) return
    isBusy = true
    await recordDeparture(context, gone)
    isBusy = false
  }
  const stop = environment.every(electionTimeoutMs, () => {
    look().catch(() => {})
  })
  return { [Symbol.dispose]: stop }
}

/** None, if this member does not lead, or the newest membership may still be taken back. */
function departed({ options: { node, stateMachine } }: ServiceContext): readonly NodeId[] {
  const { role, membership, membershipIndex, commitIndex } = node.status()
  if (role !== 'leader' || membershipIndex > commitIndex) return []
  const present = new Set([...membership.voters, ...membership.outgoing, ...membership.learners])
  const published = stateMachine.members().map(({ id }) => id)
  return published.filter((id) => !present.has(id))
}
