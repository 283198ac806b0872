<?php
// Sends mail as PHP software does that is not given an SMTP server: mail(), and
// PEAR's Mail over mail() and over sendmail (CiviCRM's "mail()" and "Sendmail").
// The jobs are a list in JSON on stdin; for each there is a line of JSON on
// stdout with what the software learns.
require 'Mail.php';

foreach (json_decode(stream_get_contents(STDIN), true) as $job) {
    $headers = $job['headers'] ?? [];
    $error = '';
    if ($job['by'] === 'mail()') {
        $ok = mail($job['to'], $job['subject'], $job['text'], $headers, $job['params'] ?? '');
    } else {
        $how = $job['by'] === 'sendmail' ? ['sendmail_path' => $job['path'], 'sendmail_args' => '-i'] : ($job['params'] ?? '');
        $result = Mail::factory($job['by'], $how)->send([$job['to']], $headers + ['Subject' => $job['subject'], 'To' => $job['to']], $job['text']);
        $ok = $result === true;
        $error = $ok ? '' : $result->getMessage();
    }
    echo json_encode(['ok' => $ok, 'error' => $error]), "\n";
}
