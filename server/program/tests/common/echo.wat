;; The smallest template with behaviour: sends its order to the issuer and gives back the reply.
;; World `remittance-template` of wit/terminal.
(component
  (type $reader-type (instance
    (type $cases (enum "no-card" "removed" "denied" "limit" "timeout" "failed"))
    (export "reader-error" (type $error (eq $cases)))
    (type $bytes (list u8))
    (type $result (result $bytes (error $error)))
    (export "transmit" (func (param "command" $bytes) (result $result)))))
  (import "tegata:terminal/reader@0.1.0" (instance $reader (type $reader-type)))
  (type $network-type (instance
    (type $cases (enum "offline" "denied" "limit" "timeout" "failed"))
    (export "network-error" (type $error (eq $cases)))
    (type $bytes (list u8))
    (type $result (result $bytes (error $error)))
    (export "exchange" (func (param "request" $bytes) (result $result)))))
  (import "tegata:terminal/network@0.1.0" (instance $network (type $network-type)))
  (import "tegata:terminal/order@0.1.0" (instance $order
    (export "bytes" (func (result (list u8))))))

  (core module $heap
    (memory (export "memory") 1 1)
    (global $free (mut i32) (i32.const 1024))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      global.get $free
      (global.set $free (i32.add (global.get $free) (local.get 3)))))
  (core instance $heap (instantiate $heap))
  (alias core export $heap "memory" (core memory $memory))
  (alias core export $heap "realloc" (core func $realloc))
  (alias export $order "bytes" (func $order-bytes))
  (alias export $network "exchange" (func $exchange))
  (core func $order-bytes (canon lower (func $order-bytes) (memory $memory) (realloc (core func $realloc))))
  (core func $exchange (canon lower (func $exchange) (memory $memory) (realloc (core func $realloc))))

  ;; 16: pointer and length of the order. 32: the result of the exchange, which is also that of
  ;; `run` once the case of the network's error is replaced by `network`, 3.
  (core module $main
    (import "host" "memory" (memory 1))
    (import "host" "order" (func $order (param i32)))
    (import "host" "exchange" (func $exchange (param i32 i32 i32)))
    (func (export "run") (result i32)
      (call $order (i32.const 16))
      (call $exchange (i32.load (i32.const 16)) (i32.load (i32.const 20)) (i32.const 32))
      (if (i32.load8_u (i32.const 32)) (then (i32.store8 (i32.const 36) (i32.const 3))))
      i32.const 32))
  (core instance $host
    (export "memory" (memory $memory))
    (export "order" (func $order-bytes))
    (export "exchange" (func $exchange)))
  (core instance $main (instantiate $main (with "host" (instance $host))))

  (type $failure (enum "order" "card-unsupported" "reader" "network" "protocol" "refused"))
  (type $outcome (result (list u8) (error $failure)))
  (func $run (result $outcome) (canon lift (core func $main "run") (memory $memory)))
  (component $shape
    (type $cases (enum "order" "card-unsupported" "reader" "network" "protocol" "refused"))
    (import "import-type-failure" (type $failure (eq $cases)))
    (type $outcome (result (list u8) (error $failure)))
    (import "import-func-run" (func $run (result $outcome)))
    (export $shown "failure" (type $cases))
    (type $shown-outcome (result (list u8) (error $shown)))
    (type $shown-run (func (result $shown-outcome)))
    (export "run" (func $run) (func (type $shown-run))))
  (instance $program (instantiate $shape
    (with "import-type-failure" (type $failure))
    (with "import-func-run" (func $run))))
  (export "tegata:terminal/program@0.1.0" (instance $program)))
