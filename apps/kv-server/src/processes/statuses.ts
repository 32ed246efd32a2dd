/** What members say of themselves, as far as they answer. */
import type { MemberClient, MemberStatus } from '../client.ts'

/** Who does not answer within this is not counted on to know who leads. */
const LEADER_TIMEOUT_MS = 500

/** Null if the member does not answer, or not in time. */
export async function statusOf(
  client: MemberClient,
  timeoutMs: number,
): Promise<MemberStatus | null> {
  try {
    return await client.status({ timeoutMs })
  } catch {
    return null
  }
}

/** Who leads, if all who answer agree on it; null while they do not, or nobody answers. */
export async function agreedLeader<Member extends { readonly client: MemberClient }>(
  members: readonly Member[],
): Promise<Member | null> {
  const statuses = await Promise.all(
    members.map(({ client }) => statusOf(client, LEADER_TIMEOUT_MS)),
  )
  const heard = statuses.filter((status) => status !== null)
  const [first] = heard
  if (first === undefined || heard.some(({ leader }) => leader !== first.leader)) return null
  return members.find((_, i) => statuses[i]?.id === first.leader) ?? null
}
