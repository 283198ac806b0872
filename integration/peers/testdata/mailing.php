<?php
// Sends a mailing as CiviCRM does: PEAR's Mail over one persistent connection,
// one recipient in each transaction, the return address in a header; with "rset"
// it says RSET after each, with "reconnect" it hangs up after so many. The job
// is JSON on stdin; for each recipient there is a line of JSON on stdout.
require 'Mail.php';
require 'Mail/mime.php';

$job = json_decode(stream_get_contents(STDIN), true);
$params = [
    'host' => $job['host'],
    'port' => (int) $job['port'],
    'auth' => isset($job['username']),
    'localhost' => 'crm.example.org',
    'persist' => true,
    'timeout' => 30,
];
if ($params['auth']) {
    $params['username'] = $job['username'];
    $params['password'] = $job['password'];
}
$mailer = Mail::factory('smtp', $params);

foreach ($job['to'] as $i => $to) {
    // CiviCRM hangs up after an error, and where a job has run for long.
    if ($i > 0 && isset($job['reconnect']) && $i % $job['reconnect'] == 0) {
        $mailer->disconnect();
    }
    $hash = substr(sha1("$i"), 0, 16);
    $queue = $i + 1;
    $verp = $job['senders'][$i] ?? "{$job['prefix']}b.7.$queue.$hash@{$job['domain']}";
    $from = $job['froms'][$i] ?? $job['from'];
    $mime = new Mail_mime("\n");
    $mime->setTXTBody("Grüße an $to, Nummer $queue\n.\nEnde\n");
    $mime->setHTMLBody("<p>Grüße an $to, Nummer $queue</p>\n");
    $body = $mime->get(['text_encoding' => '8bit', 'html_encoding' => '8bit', 'head_charset' => 'utf-8',
        'text_charset' => 'utf-8', 'html_charset' => 'utf-8']);
    $headers = $mime->headers([
        'Return-Path' => $verp,
        'From' => "\"Example News\" <$from>",
        'Subject' => 'Grüße',
        'List-Unsubscribe' => "<mailto:{$job['prefix']}u.7.$queue.$hash@{$job['domain']}>",
        'Precedence' => 'bulk',
        'job_id' => '7',
        'To' => "<$to>",
        'X-CiviMail-Bounce' => $verp,
        'Reply-To' => $from,
    ]);
    $result = $mailer->send([$to], $headers, $body);
    $reply = is_object($mailer->_smtp) ? $mailer->_smtp->getResponse() : [0, ''];
    $queued = (string) ($mailer->queued_as ?? '');
    if (isset($job['rset']) && is_object($mailer->_smtp) && PEAR::isError($mailer->_smtp->rset())) {
        exit("RSET was refused\n");
    }
    $error = '';
    if (is_a($result, 'PEAR_Error')) {
        $said = $result->getMessage();
        $error = preg_replace('/[:\[].*/s', '', $said);
        // After an error PEAR says RSET: the code is in the message only, and
        // there CiviCRM looks for it.
        $reply[0] = preg_match('/code: (\d+)/', $said, $m) ? (int) $m[1] : 0;
    }
    echo json_encode(['to' => $to, 'error' => trim($error), 'code' => (int) $reply[0], 'queue' => $queued]), "\n";
}
