<?php
// A blog in a few lines: a POST writes an entry, every answer lists all of them.
mysqli_report(MYSQLI_REPORT_OFF);
$link = @mysqli_connect(getenv('DB_HOST') ?: 'mysql', getenv('DB_USER'), getenv('DB_PASSWORD'), getenv('DB_NAME'));
if (!$link) {
    http_response_code(503);
    exit('no database: ' . mysqli_connect_error() . "\n");
}
$link->query('CREATE TABLE IF NOT EXISTS posts (id INT AUTO_INCREMENT PRIMARY KEY, title VARCHAR(200))');
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $insert = $link->prepare('INSERT INTO posts (title) VALUES (?)');
    $insert->bind_param('s', $_POST['title']);
    $insert->execute();
}
header('Content-Type: text/html');
echo '<h1>' . htmlspecialchars(getenv('SITE_NAME')) . "</h1>\n";
foreach ($link->query('SELECT title FROM posts ORDER BY id') as $row) {
    echo '<p>' . htmlspecialchars($row['title']) . "</p>\n";
}
