import { benchEtcd } from './etcd/bench.ts'
import { benchGrowingLog } from './growing-log.ts'
import { benchInProcess } from './in-process.ts'
import { benchProtocol } from './protocol.ts'
import { benchSimulation } from './simulation.ts'
import { machine, type Row, table } from './report.ts'

type Bench = (progress: (what: string) => void) => readonly Row[] | Promise<readonly Row[]>

const BENCHES: Readonly<Record<string, Bench>> = {
  protocol: benchProtocol,
  log: benchGrowingLog,
  node: benchInProcess,
  simulation: benchSimulation,
  etcd: benchEtcd,
}

const chosen = process.argv.slice(2)
const unknown = chosen.find((name) => !(name in BENCHES))
if (unknown !== undefined) {
  console.error(`there is no benchmark ${unknown}, only ${Object.keys(BENCHES).join(', ')}`)
  process.exit(2)
}

const rows: Row[] = []
for (const [name, bench] of Object.entries(BENCHES))
  if (chosen.length === 0 || chosen.includes(name))
    rows.push(...(await bench((what) => process.stderr.write(`… ${what}\n`))))
console.log(`${machine()}\n\n${table(rows)}`)
