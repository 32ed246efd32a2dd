/**
 * What removed members said of themselves is forgotten, and their alarms are cleared: nobody else
 * could clear them. The leader sees to it, whoever removed the member and whatever failed since.
 */
import { encodeCommand } from '@coracle/kv-state-machine'
import type { NodeId } from '@coracle/raft-core'
import type { ServiceContext } from './context.ts'

/** Looks once in an election timeout for members that said something of themselves and are none any more. */
export function forgetDeparted(context: ServiceContext): Disposable {
  const { environment, electionTimeoutMs } = context.options
  let isBusy = false
  const look = async (): Promise<void> => {
    const ids = departed(context)
    if (isBusy || ids.length === 0) return
    isBusy = true
    const command = encodeCommand({ type: 'forget-members', request: { ids } })
    await context.proposeOwn(command).finally(() => {
      isBusy = false
    })
  }
  const stop = environment.every(electionTimeoutMs, () => {
    // What fails is found again.
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
  const alarmed = stateMachine.alarms().map(({ memberId }) => memberId)
  const gone = new Set(membership.removed.map(({ id }) => id))
  // An alarm about somebody who never was a member is whoever raised it's to clear.
  return [
    ...published.filter((id) => !present.has(id)),
    ...alarmed.filter((id) => gone.has(id) && !published.includes(id)),
  ]
}
