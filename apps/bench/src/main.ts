import { benchInProcess } from './in-process.ts'
import { benchProtocol } from './protocol.ts'
import { machine, table } from './report.ts'

const progress = (what: string): void => {
  process.stderr.write(`… ${what}\n`)
}

console.log(`${machine()}\n`)
console.log(table([...benchProtocol(progress), ...(await benchInProcess(progress))]))
