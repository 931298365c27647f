/** Bytes that two readers could read differently, or that come where no command may. A row that enters never leaves. */

export type Smuggled = {
  /** What it tries. */
  readonly trick: string
  /** `|` stands for CR LF. */
  readonly bytes: readonly string[]
}

const SECRET_GET = '*2|$3|GET|$13|secret:string|'

/** After login: none of them brings a secret, or changes anything. */
export const SMUGGLED: readonly Smuggled[] = [
  {
    trick: 'hides a command in the argument of another',
    bytes: [
      `*2|$3|GET|$39|open:x|${SECRET_GET}|`,
      `*3|$3|SET|$6|open:x|$31|${SECRET_GET}|`,
      `*2|$4|ECHO|$31|${SECRET_GET}|`,
    ],
  },
  {
    trick: 'says another length than an argument has',
    bytes: [
      `*2|$3|GET|$6|open:x${SECRET_GET}`,
      `*2|$3|GET|$5|open:x|${SECRET_GET}`,
      `*2|$3|GET|$7|open:x|${SECRET_GET}`,
      `*3|$3|SET|$6|open:x|$1|vv|${SECRET_GET}`,
    ],
  },
  {
    trick: 'says another number of arguments than there are',
    bytes: [
      `*1|$3|GET|$6|open:x|${SECRET_GET}`,
      `*3|$3|GET|$6|open:x|${SECRET_GET}`,
      `*0|${SECRET_GET}`,
      `*-1|${SECRET_GET}`,
    ],
  },
  {
    trick: 'writes a number that some read otherwise',
    bytes: [
      ...['*02|$3|GET|$13|secret:string|', '*+2|$3|GET|$13|secret:string|', '* 2|$3|GET|$13|secret:string|'],
      ...[
        '*2 |$3|GET|$13|secret:string|',
        '*-0|',
        '*0x2|$3|GET|$13|secret:string|',
        '*2|$03|GET|$13|secret:string|',
      ],
      ...[
        '*2|$3|GET|$ 13|secret:string|',
        '*2|$3|GET|$-1|',
        `*2|$3|GET|$-2|${SECRET_GET}`,
        '*2|$3|GET|$|secret:string|',
      ],
      // Beyond 2^32 and 2^64, where a count that is cut short is small again.
      ...[`*4294967298|$3|GET|$13|secret:string|`, `*18446744073709551618|$3|GET|$13|secret:string|`],
      ...['*2|$4294967299|GET|$13|secret:string|', '*2|$18446744073709551619|GET|$13|secret:string|'],
      '*2|$3|GET|$4294967309|secret:string|',
    ],
  },
  {
    trick: 'ends a line otherwise than with CR and LF',
    bytes: [
      ...[
        '*2\n$3\nGET\n$13\nsecret:string\n',
        '*2\r$3\rGET\r$13\rsecret:string\r',
        '*2|$3\rXGET|$13|secret:string|',
      ],
      ...[
        '*2\rX$3|GET|$13|secret:string|',
        '*2|$3|GET\rX$13|secret:string|',
        '*2|$3|GETX\n$13|secret:string|',
      ],
      '*2|$3|GET|$13|secret:string\n\n',
    ],
  },
  {
    trick: 'is a line where arrays came before',
    bytes: [
      ...[
        'GET secret:string|',
        'get secret:string\n',
        '  GET   secret:string  |',
        `*1|$4|PING|GET secret:string|`,
      ],
      ...[
        'GET "secret:string"|',
        "GET 'secret:string'|",
        'GET "\\x73ecret:string"|',
        'GET secret\\:string|',
        '"GET" secret:string|',
      ],
      ...[
        'GET\tsecret:string|',
        'GET\0secret:string|',
        'GET secret:string\0|',
        'GET open:x\rGET secret:string|',
        '\0GET secret:string|',
      ],
      ...['GET \x0bsecret:string|', 'GET open:x\x1aGET secret:string|', 'GET \xa0secret:string|'],
    ],
  },
  {
    trick: 'is of a type that no client sends',
    bytes: [
      ...[
        '+GET secret:string|',
        '-GET secret:string|',
        ':1|',
        '~2|$3|GET|$13|secret:string|',
        '%1|$3|GET|$13|secret:string|',
      ],
      ...[
        '>2|$3|GET|$13|secret:string|',
        '|1|$1|a|$1|b|',
        `*2|+GET|$13|secret:string|`,
        `*2|$3|GET|=17|txt:secret:string|`,
      ],
      ...[`*2|$3|GET|*1|$13|secret:string|`, '*?|$3|GET|$13|secret:string|.|', '$?|;3|GET|;0|', '_|', '(1|'],
    ],
  },
  {
    trick: 'comes from a browser',
    bytes: [
      'POST / HTTP/1.1|Host: localhost|Content-Length: 19||GET secret:string|',
      'GET / HTTP/1.1|Host: localhost||',
      'host: x|GET secret:string|',
      'post x|GET secret:string|',
    ],
  },
]

/** Before login: none of them is answered with more than an error. */
export const STRANGERS: readonly string[] = [
  SECRET_GET,
  'GET secret:string|',
  '*1|$4|PING|',
  `MULTI|GET secret:string|EXEC|`,
  `*1|$5|MULTI|${SECRET_GET}*1|$4|EXEC|`,
  `*2|$5|HELLO|$1|3|${SECRET_GET}`,
  `*2|$4|AUTH|$5|wrong|${SECRET_GET}`,
  `*3|$4|AUTH|$7|default|$0||${SECRET_GET}`,
  `*5|$5|HELLO|$1|3|$4|AUTH|$4|r-42|$1|x|${SECRET_GET}`,
  `*1|$5|RESET|${SECRET_GET}`,
  `*2|$9|SUBSCRIBE|$8|secret:c|`,
  '*1|$7|MONITOR|',
  '*1|$4|SYNC|',
  '*11|',
  '*1048576|',
  '*2147483647|',
  '*1|$16385|',
  '*2|$4|AUTH|$536870912|',
  `${'a'.repeat(70_000)}|`,
  '*0|'.repeat(30_000),
  'POST / HTTP/1.1|Host: localhost||',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03|',
]
