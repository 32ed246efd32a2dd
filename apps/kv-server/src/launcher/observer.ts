/** Asks every member how it is, again and again. */
import { memberClient, type MemberStatus } from '../client.ts'
import { addressOf, clientUrlOf, type MemberPlan, statusOf } from '../processes/index.ts'
import type { Row } from './table.ts'

export interface Observer extends Disposable {
  /** One row for each member, as far as it answers. */
  observe(): Promise<readonly Row[]>
}

/** An answer on the loopback takes a millisecond; a member that needs this long is not well. */
const TIMEOUT_MS = 1_000

export function observeMembers(
  members: readonly MemberPlan[],
  pidOf: (member: MemberPlan) => number | null,
): Observer {
  const clients = members.map((member) => ({ member, client: memberClient(addressOf(member)) }))
  return {
    observe: () =>
      Promise.all(
        clients.map(async ({ member, client }) => {
          const pid = pidOf(member)
          const status = pid === null ? null : await statusOf(client, TIMEOUT_MS)
          const { name } = member
          return { name, pid, url: clientUrlOf(member), ...stateOf(pid, status) }
        }),
      ),
    [Symbol.dispose]() {
      for (const { client } of clients) client[Symbol.dispose]()
    },
  }
}

function stateOf(
  pid: number | null,
  status: MemberStatus | null,
): Pick<Row, 'role' | 'term' | 'revision'> {
  if (status === null)
    return { role: pid === null ? 'down' : 'starting', term: null, revision: null }
  const { id, leader, term, revision } = status
  const role = leader === null ? 'no leader' : leader === id ? 'leader' : 'follower'
  return { role, term, revision }
}
