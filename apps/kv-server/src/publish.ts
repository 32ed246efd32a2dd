/** A member tells the cluster its name and where clients reach it. */
import { encodeCommand, type MemberAttributes } from '@coracle/kv-state-machine'
import { RaftError, type RaftNode } from '@coracle/raft-core'

/**
 * Publishes through the log, and tries again until it is done: doing it twice is harmless. True when
 * there is a leader, and this member has applied its log up to here; false if the signal aborted, or
 * the node stopped, before that.
 */
export async function publishMember(
  node: RaftNode,
  attributes: MemberAttributes,
  { signal }: { readonly signal: AbortSignal },
): Promise<boolean> {
  const command = encodeCommand({ type: 'publish-member', request: attributes })
  while (!signal.aborted) {
    try {
      await node.propose(command, { signal })
      return true
    } catch (error) {
      if (signal.aborted) break
      if (!(error instanceof RaftError)) throw error
      if (error.code === 'STOPPED') break
    }
  }
  return false
}
