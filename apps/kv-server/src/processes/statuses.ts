/** What members say of themselves, as far as they answer. */
import type { MemberClient, MemberStatus } from '../client.ts'

/** An answer on the loopback takes a millisecond; a member that needs this long is not well. */
const TIMEOUT_MS = 1_000

/** Null if the member does not answer, or not soon. */
export async function statusOf(client: MemberClient): Promise<MemberStatus | null> {
  try {
    return await client.status({ timeoutMs: TIMEOUT_MS })
  } catch {
    return null
  }
}

/** Who leads, if all who answer agree on it; null while they do not, or nobody answers. */
export async function agreedLeader<Member extends { readonly client: MemberClient }>(
  members: readonly Member[],
): Promise<Member | null> {
  const statuses = await Promise.all(members.map(({ client }) => statusOf(client)))
  const heard = statuses.filter((status) => status !== null)
  const [first] = heard
  if (first === undefined || heard.some(({ leader }) => leader !== first.leader)) return null
  return members.find((_, i) => statuses[i]?.id === first.leader) ?? null
}
