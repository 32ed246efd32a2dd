/** Whether this member is well: etcd's /health for people and scripts, /livez and /readyz for kubelets. */
import { unexpected } from '../errors.ts'
import type { Call } from '../call.ts'
import type { ServiceContext } from '../context.ts'
import { type Answer, type Endpoint, json, text } from './endpoints.ts'

/** What a look at the member needs of it. */
export interface Health {
  readonly context: ServiceContext
  /** The alarms that are raised anywhere in the cluster: `NOSPACE`, `CORRUPT`. */
  readonly alarms: () => readonly string[]
}

/** Says what is wrong, if anything is. */
type Check = (health: Health, call: Call) => Promise<string | null>

/** What is applied here can be read. It could not be if the member had no state, so this asks nobody. */
const serializableRead: Check = async ({ context }) => {
  const { stateMachine } = context.options
  return stateMachine.revision > 0 ? null : 'there is no state to read'
}

const linearizableRead: Check = async ({ context }, call) => {
  try {
    await context.readBarrier(call)
    return null
  } catch (error) {
    return unexpected(error).message
  }
}

const dataCorruption: Check = async ({ alarms }) =>
  alarms().includes('CORRUPT') ? 'alarm activated: CORRUPT' : null

const nonLearner: Check = async ({ context }) =>
  context.leadership.learner ? 'this member is a learner' : null

const LIVE: Readonly<Record<string, Check>> = { serializable_read: serializableRead }

const READY: Readonly<Record<string, Check>> = {
  data_corruption: dataCorruption,
  serializable_read: serializableRead,
  linearizable_read: linearizableRead,
  non_learner: nonLearner,
}

/** The endpoints by path, those for single checks included. */
export function healthEndpoints(health: Health): ReadonlyMap<string, Endpoint> {
  const endpoints = new Map<string, Endpoint>([['/health', (asked) => overall(health, asked)]])
  for (const [root, checks] of Object.entries({ '/livez': LIVE, '/readyz': READY })) {
    endpoints.set(root, (asked) => probe(health, selected(checks, asked.query), asked))
    for (const [name, check] of Object.entries(checks))
      endpoints.set(`${root}/${name}`, (asked) => probe(health, { [name]: check }, asked))
  }
  return endpoints
}

type Asked = Parameters<Endpoint>[0]

/** One line of JSON; the first thing that is wrong is the reason. */
async function overall(health: Health, { query, call }: Asked): Promise<Answer> {
  const reason = await reasonOf(health, query, call)
  const body = { health: String(reason === ''), reason }
  return json(reason === '' ? 200 : 503, body)
}

async function reasonOf(health: Health, query: URLSearchParams, call: Call): Promise<string> {
  const excluded = query.getAll('exclude')
  const alarm = health.alarms().find((each) => !excluded.includes(each))
  if (alarm !== undefined) return `ALARM ${alarm}`
  if (query.get('serializable') === 'true') return ''
  if (health.context.leadership.leader === null) return 'RAFT NO LEADER'
  const wrong = await linearizableRead(health, call)
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
  health: Health,
  checks: Readonly<Record<string, Check>>,
  { query, call }: Asked,
): Promise<Answer> {
  const lines: string[] = []
  let isWell = true
  for (const [name, check] of Object.entries(checks)) {
    const wrong = await check(health, call)
    isWell &&= wrong === null
    lines.push(wrong === null ? `[+]${name} ok\n` : `[-]${name} failed: ${wrong}\n`)
  }
  const report = lines.join('')
  if (!isWell) return text(503, report)
  return text(200, query.has('verbose') ? `${report}ok\n` : 'ok\n')
}
