/** Whether this member is well: etcd's /health for people and scripts, /livez and /readyz for kubelets. */
import { unexpected } from '../errors.ts'
import type { Call } from '../call.ts'
import type { ServiceContext } from '../context.ts'
import type { HealthCounts } from '../metrics/health-metrics.ts'
import { type Answer, type Endpoint, json, text } from './endpoints.ts'

/** Says what is wrong, if anything is. */
type Check = (context: ServiceContext, call: Call) => Promise<string | null>

/** What is applied here can be read. It could not be if the member had no state, so this asks nobody. */
const serializableRead: Check = async ({ options: { stateMachine } }) => {
  return stateMachine.revision > 0 ? null : 'there is no state to read'
}

const linearizableRead: Check = async (context, call) => {
  try {
    await context.readBarrier(call)
    return null
  } catch (error) {
    return unexpected(error).message
  }
}

const dataCorruption: Check = async (context) =>
  alarmsOf(context).includes('CORRUPT') ? 'alarm activated: CORRUPT' : null

const nonLearner: Check = async ({ leadership }) =>
  leadership.learner ? 'this member is a learner' : null

const LIVE: Readonly<Record<string, Check>> = { serializable_read: serializableRead }

const READY: Readonly<Record<string, Check>> = {
  data_corruption: dataCorruption,
  serializable_read: serializableRead,
  linearizable_read: linearizableRead,
  non_learner: nonLearner,
}

/** The alarms that are raised anywhere in the cluster, by the names that etcd gives them. */
function alarmsOf({ options: { stateMachine } }: ServiceContext): readonly string[] {
  return stateMachine.alarms().map(({ type }) => (type === 'no-space' ? 'NOSPACE' : 'CORRUPT'))
}

/** The endpoints by path, those for single checks included. */
export function healthEndpoints(
  context: ServiceContext,
  counts: HealthCounts,
): ReadonlyMap<string, Endpoint> {
  const endpoints = new Map<string, Endpoint>([
    ['/health', (asked) => overall(context, counts, asked)],
  ])
  for (const [type, checks] of Object.entries({ livez: LIVE, readyz: READY })) {
    const counted = Object.fromEntries(
      Object.entries(checks).map(([name, check]) => [
        name,
        countedCheck(check, (isWell) => counts.check(type, name, isWell)),
      ]),
    )
    endpoints.set(`/${type}`, (asked) => probe(context, selected(counted, asked.query), asked))
    for (const [name, check] of Object.entries(counted))
      endpoints.set(`/${type}/${name}`, (asked) => probe(context, { [name]: check }, asked))
  }
  return endpoints
}

function countedCheck(check: Check, count: (isWell: boolean) => void): Check {
  return async (context, call) => {
    const wrong = await check(context, call)
    count(wrong === null)
    return wrong
  }
}

type Asked = Parameters<Endpoint>[0]

/** One line of JSON; the first thing that is wrong is the reason. */
async function overall(
  context: ServiceContext,
  counts: HealthCounts,
  { query, call }: Asked,
): Promise<Answer> {
  const reason = await reasonOf(context, query, call)
  const isWell = reason === ''
  counts.overall(isWell)
  return json(isWell ? 200 : 503, { health: String(isWell), reason })
}

async function reasonOf(
  context: ServiceContext,
  query: URLSearchParams,
  call: Call,
): Promise<string> {
  const excluded = query.getAll('exclude')
  const alarm = alarmsOf(context).find((each) => !excluded.includes(each))
  if (alarm !== undefined) return `ALARM ${alarm}`
  if (query.get('serializable') === 'true') return ''
  if (context.leadership.leader === null) return 'RAFT NO LEADER'
  const wrong = await linearizableRead(context, call)
  return wrong === null ? '' : `RANGE ERROR:${wrong}`
}

function selected(
  checks: Readonly<Record<string, Check>>,
  query: URLSearchParams,
): Readonly<Record<string, Check>> {
  const excluded = query.getAll('exclude')
  const allowed = query.getAll('allowlist')
  return Object.fromEntries(
    Object.entries(checks).filter(
      ([name]) => !excluded.includes(name) && (allowed.length === 0 || allowed.includes(name)),
    ),
  )
}

/** As in Kubernetes: `ok`, or a line for each check if one failed or if they were asked for. */
async function probe(
  context: ServiceContext,
  checks: Readonly<Record<string, Check>>,
  { query, call }: Asked,
): Promise<Answer> {
  const lines: string[] = []
  let isWell = true
  for (const [name, check] of Object.entries(checks)) {
    const wrong = await check(context, call)
    isWell &&= wrong === null
    lines.push(wrong === null ? `[+]${name} ok\n` : `[-]${name} failed: ${wrong}\n`)
  }
  const report = lines.join('')
  if (!isWell) return text(503, report)
  return text(200, query.has('verbose') ? `${report}ok\n` : 'ok\n')
}
